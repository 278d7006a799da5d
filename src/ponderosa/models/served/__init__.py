"""Models behind servers over HTTP, with OpenAI's interface or vLLM's pooling."""
