"""`/sdapi/v1`, as programs know it from AUTOMATIC1111's Stable Diffusion WebUI, for the renderer of modelhub.

Names of addresses and fields are those of that interface; where a request says nothing, what suits the model is taken.
"""
