# From `cargo metadata` to a bill of materials (CycloneDX 1.5).
#   $package  whose bill, "" for the whole workspace
#   $tree     what is in it, as `cargo tree` resolves it: {"name version": true}
#   $sums     SHA-256 of each registry package, from Cargo.lock: {"name version": sum}

def key: "\(.name) \(.version)";
def purl: "pkg:cargo/\(.name)@\(.version)";

def component:
  {type: "library", "bom-ref": purl, name, version, purl: purl, description}
  + (if .license then {licenses: [{expression: (.license | gsub("\\s*/\\s*"; " OR "))}]} else {} end)
  + ($sums[key] as $sum | if $sum then {hashes: [{alg: "SHA-256", content: $sum}]} else {} end)
  + (if .repository then {externalReferences: [{type: "vcs", url: .repository}]} else {} end)
  | with_entries(select(.value != null));

. as $metadata
| (reduce (.packages[] | select($tree[key])) as $it ({}; .[$it.id] = $it)) as $packages
| ($packages | map(select(.name == $package and .source == null)) | first) as $root
| if $package != "" and $root == null then error("the workspace has no package \($package)") else . end
| (if $root then ($root | purl) else "workspace" end) as $ref
| [ .resolve.nodes[]
    | select($packages[.id])
    | {
        ref: ($packages[.id] | purl),
        # What is linked or runs while building, and not what only tests use.
        dependsOn: ([ .deps[]
          | select($packages[.pkg] and any(.dep_kinds[]; .kind == null or .kind == "build"))
          | $packages[.pkg] | purl ] | unique)
      } ] as $edges
| {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: {
      component: (if $root then $root | component | .type = "application"
                  else {type: "application", "bom-ref": $ref, name: ($metadata.workspace_root | split("/") | last)} end)
    },
    components: ([$packages[] | select(purl != $ref) | component] | sort_by(.["bom-ref"])),
    dependencies: (
      (if $root then []
       else [{ref: $ref, dependsOn: ([$packages[] | select(.source == null) | purl] | sort)}] end)
      + ($edges | sort_by(.ref)))
  }
