"""Models of the Hugging Face Hub: what one takes, and its files, resumed and verified.

It is our own client and not huggingface_hub, whose downloads start again from the first byte in a
new process, are not compared with their checksums, and give the token to any endpoint that is set.
"""
