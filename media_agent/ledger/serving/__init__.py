"""What a server keeps beside its jobs: callers, their files, who is told of the end of a job."""
