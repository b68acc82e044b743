"""Starting a training: from a file, as local workers, or as a job for Kubernetes, Vertex AI or Slurm."""
