#!/bin/sh
# Writes the secrets that docker-compose.yml asks for to .env, which its owner alone can read.
# Usage: deploy/compose/secrets.sh. It never touches a file that is there already.
set -eu
cd "$(dirname "$0")/../.."
[ ! -e .env ] || { echo ".env is there already: nothing was changed" >&2; exit 1; }
umask 077
random() { head -c "$1" /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n'; }
{
  echo "POSTGRES_PASSWORD=$(random 24)"
  echo "COTERIE_CONTENTS_KEY=$(random 24)"
  echo "COTERIE_SEAL_KEY=$(random 32)"
  echo "COTERIE_METRICS_KEY=$(random 24)"
  echo "GRAFANA_PASSWORD=$(random 18)"
} > .env
echo "wrote .env"
