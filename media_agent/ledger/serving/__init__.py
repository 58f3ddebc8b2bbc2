"""What a server keeps beside its jobs: callers, their files, and who hears of the end of a job."""
