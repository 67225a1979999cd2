"""`python -m tinydeploy`."""

from tinydeploy.cli.main import main

main()
