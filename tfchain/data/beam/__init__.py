"""Preparation of data as an Apache Beam pipeline: from a laptop to Flink, Spark and Dataflow. Beam's one door."""
