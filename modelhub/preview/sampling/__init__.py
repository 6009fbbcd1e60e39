"""Sampling: noise levels, schedules over them, and the samplers that go down them."""
