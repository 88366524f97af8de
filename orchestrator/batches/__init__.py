"""OpenAI's Batch API: a file of requests, answered by a job, and files of what came of it.

Refuses to know HTTP, and how a job runs: the lines of a file are the items of a job like any other.
"""
