"""Videos over HTTP: the OpenAI-shaped /v1/videos, the native API, events and live video."""
