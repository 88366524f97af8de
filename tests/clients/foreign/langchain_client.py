"""langchain-openai before a server: ``python langchain_client.py URL KEY``; prints JSON."""

import json
import sys

from langchain_openai import ChatOpenAI, OpenAIEmbeddings

url, key = sys.argv[1:]
options = {"base_url": f"{url}/v1", "api_key": key, "max_retries": 0}
chat = ChatOpenAI(model="coterie", **options)


def weather(city: str) -> str:
    """The weather of a city."""
    return city


streamed = [piece.text for piece in chat.stream("How many?")]
responses = ChatOpenAI(model="coterie", use_responses_api=True, **options)
vectors = OpenAIEmbeddings(model="coterie-embedder", check_embedding_ctx_length=False, **options)
print(
    json.dumps(
        {
            "said": chat.invoke("How many?").text,
            "tokens": chat.invoke("How many?").usage_metadata["total_tokens"],
            "streamed": "".join(streamed),
            "pieces": len(streamed),
            "calls": chat.bind_tools([weather]).invoke("How warm is Paris?").tool_calls,
            "responded": responses.invoke("How many?").text,
            "response_streamed": "".join(p.text for p in responses.stream("How many?")),
            "vectors": vectors.embed_documents(["tea", "tea for two"]),
        }
    )
)
