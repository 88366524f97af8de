"""The why-records: what was decided for each request, kept for whoever asks later."""
