"""The training of the demo models, one stage per file; `scripts/train_demo_models.py` runs them."""
