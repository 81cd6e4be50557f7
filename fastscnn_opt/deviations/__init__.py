"""The deviations between the tensors of two models that compute the same thing."""
