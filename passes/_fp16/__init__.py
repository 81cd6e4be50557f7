"""How `fp16` chooses the nodes that compute in float16, and puts Casts between them and the rest."""
