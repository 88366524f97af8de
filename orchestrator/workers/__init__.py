"""Who does the work: claims batches, brings engines up and down, asks, and settles."""
