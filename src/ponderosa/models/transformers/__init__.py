"""Models of Hugging Face transformers in this process: sampled and scored in continuous batches that share prefixes."""
