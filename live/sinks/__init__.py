"""Where rendered frames go. Each file implements `live.stages.Sink`."""
