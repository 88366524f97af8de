"""What operators see of the service: metrics, traces and logs.  Decides nothing, and keeps no words
of a conversation."""
