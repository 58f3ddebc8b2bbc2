"""Who may say no: policies are asked before a plan, before a submission and after a result."""
