"""Small tuned models lift a large one, token by token (docs/fusion.md)."""
