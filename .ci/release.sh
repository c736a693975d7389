#!/usr/bin/env bash
# Usage: .ci/release.sh CHECKOUT SCRATCH [LANGUAGE...]
#
# Makes a release from a clone of CHECKOUT in the folder SCRATCH, and proves it: the same checksums in a second run, the
# archive is complete, a break of the released contract is refused, the server can be installed from the proxy of files,
# and the client package of each LANGUAGE works. Nothing is published, and nothing in CHECKOUT changes.
set -euo pipefail
checkout=$(cd "$1" && pwd)
scratch=$2
shift 2
version=v0.1.0-rc.1
module=github.com/m365backup/backupstorage
names=$(IFS=, && echo "$*")

fail() {
	echo "release: $*" >&2
	exit 1
}

copy=$scratch/copy
git clone -q "$checkout" "$copy"
cd "$copy"
git config user.name release
git config user.email release@example.com
platform=$(go env GOOS)/$(go env GOARCH)
go run ./release -version "$version" -o "$scratch/first" -platforms "$platform" -packages "$names"
(cd "$scratch/first" && sha256sum --quiet -c checksums.txt)

# A second run from another clone, in another time zone, with other modes of files.
(
	umask 077
	git clone -q "$copy" "$scratch/other"
	cd "$scratch/other"
	TZ=Pacific/Kiritimati go run ./release -version "$version" -o "$scratch/second" -platforms "$platform" -packages "$names"
)
diff "$scratch/first/checksums.txt" "$scratch/second/checksums.txt" >&2 || fail "two runs differ"

# Nor does a crate depend on its day: Cargo puts the versions of its dependencies into it.
for crate in "$scratch"/first/packages/rust/*.crate; do
	if [[ ! -e $crate ]]; then break; fi
	tar -xzOf "$crate" --wildcards '*/Cargo.lock' | grep '^checksum' >"$scratch/locked"
	if grep -vxFf clients/rust/Cargo.lock "$scratch/locked" >&2; then fail "the crate has versions that clients/rust/Cargo.lock has not"; fi
done

# The archive alone is enough for buf and protoc.
mkdir "$scratch/archive"
tar -xzf "$scratch/first/protos.tar.gz" -C "$scratch/archive"
for file in buf.yaml errors.json service_config.json descriptors.binpb LICENSE thirdparty/google/rpc/status.proto; do
	[[ -s $scratch/archive/protos/$file ]] || fail "protos.tar.gz does not have $file"
done
go tool buf lint "$scratch/archive/protos"
grep -qa 'have only one active policy' "$scratch/archive/protos/descriptors.binpb" || fail "descriptors.binpb has no comments"

# What is not committed is not released.
touch "$copy/leftover"
if go run ./release -version "$version" -o "$scratch/dirty" 2>"$scratch/refused"; then fail "a checkout with changes was released"; fi
grep -q 'has changes' "$scratch/refused"
[[ ! -e $scratch/dirty ]] || fail "a refused release left its folder"
rm "$copy/leftover"

# A break of the contract is refused. This is a copy: its released.binpb becomes that of this release.
cp "$scratch/first/released.binpb" proto/released.binpb
go tool buf breaking "$scratch/archive/protos/proto" --against proto/released.binpb
sed -i '/string policy_id = 3;/d' proto/m365/backupstorage/v1/protection_unit.proto
git add -A
git commit -qm "plant a break"
if go run ./release -version v0.1.0-rc.2 -o "$scratch/broken" 2>"$scratch/refused"; then fail "a broken contract was released"; fi
grep -q 'Previously present field "3"' "$scratch/refused" || { cat "$scratch/refused" >&2 && fail "refused for another reason"; }

# go install as a newcomer does it. The modules of others come from the cache of this machine, in the layout of a proxy.
home=$scratch/home
mkdir "$home"
cache=$(go env GOMODCACHE)/cache/download
env -i PATH="$PATH" HOME="$home" GOFLAGS=-modcacherw GOTOOLCHAIN=local GOCACHE="$(go env GOCACHE)" \
	GOPROXY="file://$scratch/first/packages/go,file://$cache,$(go env GOPROXY)" GONOSUMDB="$module" GOSUMDB="$(go env GOSUMDB)" \
	go install -trimpath "$module/cmd/server@$version"
go version -m "$home/go/bin/server" | grep -q "mod.*$module.*$version" || fail "go install built another version"
# It and the binary of the release say the version wherever a server says it.
for server in "$home/go/bin/server" "$scratch"/first/server/*; do
	(cd "$scratch/other" && RELEASED_SERVER=$server RELEASED_VERSION=$version go test ./cmd/server -count=1 -run '^TestAllSayTheSameVersion$')
done

if [[ $# -gt 0 ]]; then PACKAGES=$scratch/first/packages "$checkout/clients/run" go "$@"; fi
