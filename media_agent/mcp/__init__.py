"""The tools, files and jobs of this machine for agents that speak the Model Context Protocol."""
