"""Models: which trained model a query predicts with, whether a new one is as good, and training it. No Dagster here."""
