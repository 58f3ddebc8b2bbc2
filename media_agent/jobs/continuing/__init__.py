"""Videos that continue others: branches of a job, and what is put behind any other video."""
