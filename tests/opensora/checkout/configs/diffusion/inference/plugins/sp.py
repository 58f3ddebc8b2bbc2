plugin = "hybrid"
plugin_config = dict(sp_size=8)
