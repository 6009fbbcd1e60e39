"""Whether an adapter, an embedding, a VAE or a ControlNet fits a model, with the evidence for it."""
