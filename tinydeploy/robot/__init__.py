"""Keywords for Robot Framework: `Library    tinydeploy.robot.Deploy`."""
