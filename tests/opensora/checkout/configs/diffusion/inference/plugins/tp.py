plugin = "hybrid"
