"""Who is good at what: the expert registry, skill inference and skill profiles."""
