# The service and its workers, for experts that are served elsewhere (kind `openai`): no vLLM inside.
# Built in two stages, so that neither compilers nor the package manager are in what runs.
FROM python:3.11.14-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/coterie
ENV PATH=/opt/coterie/bin:$PATH
COPY requirements/ requirements/
# The versions the tests ran with; PyTorch's CPU build is what the sentence encoder needs.
RUN pip install --extra-index-url https://download.pytorch.org/whl/cpu "$(grep -E '^torch==' requirements/cpu.lock | sed 's/ *;.*//')"
COPY pyproject.toml README.md ./
COPY coterie/ coterie/
COPY skills/ skills/
COPY aggregator/ aggregator/
COPY evals/ evals/
COPY orchestrator/ orchestrator/
COPY migrations/ migrations/
RUN sed 's/ *;.*//' requirements/cpu.lock | grep -E '^[a-z0-9]' > /tmp/constraints.txt \
 && pip install --constraint /tmp/constraints.txt '.[embed,otel,report,tasks]'

FROM python:3.11.14-slim-bookworm
COPY --from=build /opt/coterie /opt/coterie
ENV PATH=/opt/coterie/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    COTERIE_HOME=/var/lib/coterie COTERIE_CONFIG=/etc/coterie/experts.yaml
# A volume laid over this folder takes over its owner.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin coterie \
 && install -d -o coterie -g coterie -m 0700 /var/lib/coterie
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["coterie"]
CMD ["serve"]
