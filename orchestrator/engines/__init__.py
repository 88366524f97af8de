"""Experts as things that can be asked: over HTTP, in processes of our own, from recordings."""
