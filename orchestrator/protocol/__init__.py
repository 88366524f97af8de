"""OpenAI's protocol as callers speak it, without HTTP: whatever answers them writes it alike.

Refuses to know how a request came in: by a connection, or as a line of a file.
"""
