"""The service: composes skills, aggregator and evals behind one endpoint."""
