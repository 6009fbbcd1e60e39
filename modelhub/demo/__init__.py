"""The demo: a small library of tiny trained models, what to ask of them, and whether a picture shows what was asked."""
