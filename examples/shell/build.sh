#!/usr/bin/env bash
# build.sh: a disk image in numbered states. Without 'bldst step' before its lines it is a plain script; with it, it can be killed
# at any moment and goes on when it is run again. README.md has the rest.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
recipe=$here/recipe.sh
export FOLDER=${FOLDER:-.}
export BLDST_PLATFORM=${BLDST_PLATFORM:-openstack} BLDST_OS_VERSION=${BLDST_OS_VERSION:-rhel-9.3} BLDST_IMAGE_TYPE=${BLDST_IMAGE_TYPE:-base}
mkdir -p "$FOLDER"
cd "$FOLDER"
export FOLDER=.

bldst step 5 --name "Preparation" -- "$recipe" check
bldst step 20 --name "Root file tree" --input "$recipe" --save tree-20=tree.tar -- "$recipe" tree
bldst step 40 --name "Tools" --input "$recipe" --save tree-40=tree.tar -- "$recipe" tools
bldst step 60 --name "Configuration" --input "$recipe" --save tree-60=tree.tar -- "$recipe" configure
bldst step 80 --name "Tests" -- "$recipe" tests
bldst step 95 --name "Disk image" --input "$recipe" --save image=image.raw -- "$recipe" image
bldst step 100 --name "Completed" -- sha256sum image.raw
