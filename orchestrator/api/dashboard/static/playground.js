// A conversation in each pane; what an answer comes from is told beside it while it is written.
// What a model says goes into the page as text and never as markup.
"use strict";

const csrf = JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRF-Token"];
const form = document.getElementById("ask");
const question = document.getElementById("question");
const panes = [];

class Pane {
  constructor(model, messages) {
    const copy = document.getElementById("pane").content.cloneNode(true);
    this.root = copy.querySelector(".pane");
    this.talk = copy.querySelector(".talk");
    this.messages = [];
    this.stopper = null;
    this.began = 0;
    this.name(model);
    document.getElementById("panes").append(copy);
    for (const { role, content } of messages) { this.keep(role, content); this.turn(role, content); }
  }

  name(model) {
    this.model = model;
    this.root.querySelector("h2").textContent = model;
    this.root.setAttribute("aria-label", model);
  }

  keep(role, content) { this.messages.push({ role, content }); }

  turn(role, text) {
    const turn = document.createElement("div");
    turn.className = `turn ${role}`;
    const who = document.createElement("h3");
    who.textContent = role === "user" ? "You" : this.model;
    const said = document.createElement("div");
    said.className = "said";
    said.textContent = text;
    turn.append(who, said);
    this.talk.append(turn);
    this.talk.scrollTop = this.talk.scrollHeight;
    return said;
  }

  status(text, bad = false) {
    const place = this.root.querySelector(".pane-status");
    place.textContent = text;
    place.classList.toggle("notice", bad);
    place.classList.toggle("bad", bad);
  }

  // Pieces come from the server's templates, which escape whatever they are given.
  show(name, html) {
    const place = this.root.querySelector(`.${name}`);
    const open = new Set([...place.querySelectorAll("details[open] > summary")].map((s) => s.textContent));
    this.root.querySelector(".first")?.remove();
    place.innerHTML = html;
    for (const summary of place.querySelectorAll("details > summary")) {
      if (open.has(summary.textContent)) summary.parentElement.open = true;
    }
    drawAll(place);
  }

  tick() {
    for (const place of this.root.querySelectorAll("[data-since]")) {
      const seconds = (performance.now() - this.began - Number(place.dataset.since)) / 1000;
      place.textContent = `${Math.max(0, seconds).toFixed(1)} s`;
    }
  }

  async ask(text, settings) {
    this.keep("user", text);
    this.turn("user", text);
    this.answer = { text: "", usage: null, said: this.turn("assistant", ""), thought: null };
    this.show("route", "");
    this.show("answering", "");
    this.status("Choosing whom to ask…");
    this.began = performance.now();
    this.stopper = new AbortController();
    this.talk.setAttribute("aria-busy", "true");
    const ticking = setInterval(() => this.tick(), 200);
    try {
      await this.listen(settings);
      this.keep("assistant", this.answer.text);
      this.status(`Answered in ${((performance.now() - this.began) / 1000).toFixed(2)} s${this.spent()}`);
    } catch (error) {
      this.ended(error);
    } finally {
      clearInterval(ticking);
      this.stopper = null;
      this.talk.removeAttribute("aria-busy");
    }
  }

  async listen(settings) {
    const { system, ...fields } = settings;
    const first = system ? [{ role: "system", content: system }] : [];
    const response = await fetch("/dashboard/playground/ask", {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRF-Token": csrf },
      body: JSON.stringify({ ...fields, model: this.model, messages: [...first, ...this.messages] }),
      signal: this.stopper.signal,
    });
    if (response.redirected) {
      location.assign("/dashboard/login?back=/dashboard/playground");
      throw new Error("your login is over: log in again");
    }
    if (!response.ok) throw new Error((await response.json()).error.message);
    for await (const [name, data] of events(response.body)) {
      if (name !== "message") this.show(name, JSON.parse(data));
      else if (data === "[DONE]") return;
      else this.take(JSON.parse(data));
    }
    throw new Error("the connection ended before the answer did: ask again");
  }

  take(chunk) {
    if (chunk.error) throw new Error(chunk.error.message);
    if (chunk.usage) this.answer.usage = chunk.usage;
    const delta = chunk.choices[0]?.delta ?? {};
    const thought = delta.reasoning_content ?? delta.reasoning;
    const low = this.talk.scrollHeight - this.talk.scrollTop - this.talk.clientHeight < 40;
    if (thought) this.think(thought);
    if (delta.tool_calls) this.write(`${JSON.stringify(delta.tool_calls)}\n`);
    if (delta.content) this.write(delta.content);
    if (low) this.talk.scrollTop = this.talk.scrollHeight;
  }

  write(text) {
    if (!this.answer.text) this.status("It is being written…");
    this.answer.text += text;
    this.answer.said.append(text); // a text node, whatever it holds
  }

  think(text) {
    if (!this.answer.thought) {
      const details = document.createElement("details");
      const summary = document.createElement("summary");
      summary.textContent = "Reasoning";
      this.answer.thought = document.createElement("div");
      this.answer.thought.className = "said quiet";
      details.append(summary, this.answer.thought);
      this.answer.said.before(details);
    }
    this.answer.thought.append(text);
  }

  spent() {
    const usage = this.answer.usage;
    if (!usage) return "";
    const cost = usage.cost_usd ? `, $${usage.cost_usd.toPrecision(2)}` : "";
    return ` · ${usage.prompt_tokens} tokens in, ${usage.completion_tokens} out${cost}`;
  }

  // What was said goes on being part of the conversation; a question without an answer does not.
  ended(error) {
    const stopped = error.name === "AbortError";
    if (this.answer.text) this.keep("assistant", this.answer.text);
    else {
      this.messages.pop();
      this.answer.said.textContent = stopped ? "(stopped)" : "(no answer)";
      this.answer.said.classList.add("quiet");
    }
    this.root.querySelectorAll("[data-since]").forEach((place) => place.removeAttribute("data-since"));
    if (stopped) this.show("answering", "");
    this.status(stopped ? "Stopped: nobody works on it any more." : error.message, !stopped);
  }
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n");
      const name = lines.find((line) => line.startsWith("event: "))?.slice(7) ?? "message";
      const data = lines.find((line) => line.startsWith("data: "))?.slice(6);
      if (data) yield [name, data];
    }
  }
}

function settings() {
  const number = (id) => {
    const value = document.getElementById(`field-${id}`).value;
    return value === "" ? undefined : Number(value);
  };
  return {
    system: document.getElementById("system").value.trim(),
    temperature: number("temperature"),
    top_p: number("top_p"),
    max_tokens: number("max_tokens"),
    seed: number("seed"),
    stop: document.getElementById("field-stop").value || undefined,
    coterie: document.getElementById("trace").checked ? { trace: true } : undefined,
  };
}

function arrange() {
  const wanted = [form.model.value, form.beside.value].filter(Boolean);
  while (panes.length > wanted.length) panes.pop().root.remove();
  panes.forEach((pane, i) => pane.name(wanted[i]));
  for (const model of wanted.slice(panes.length)) panes.push(new Pane(model, panes[0]?.messages ?? []));
  document.getElementById("panes").classList.toggle("two", panes.length > 1);
}

function busy(now) {
  for (const id of ["send", "anew", "model", "beside"]) document.getElementById(id).disabled = now;
  document.getElementById("stop").disabled = !now;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = question.value.trim();
  if (!text || document.getElementById("send").disabled) return;
  question.value = "";
  busy(true);
  const asked = settings();
  await Promise.all(panes.map((pane) => pane.ask(text, asked)));
  busy(false);
  question.focus();
});

question.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});

document.getElementById("stop").addEventListener("click", () => panes.forEach((p) => p.stopper?.abort()));
document.getElementById("anew").addEventListener("click", () => {
  panes.splice(0).forEach((pane) => pane.root.remove());
  arrange();
  question.focus();
});
form.model.addEventListener("change", arrange);
form.beside.addEventListener("change", arrange);
arrange();
