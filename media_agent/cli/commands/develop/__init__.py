"""Commands for programs, agents and developers: tools, schemas, simulators, checks, completion."""
