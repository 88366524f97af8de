"""The HTTP surface: OpenAI's chat protocol, the why-records, health and the admin registry."""

from orchestrator.api.app import create_app

__all__ = ["create_app"]
