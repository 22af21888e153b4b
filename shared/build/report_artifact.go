package build

import (
	"strconv"
	"strings"
	"time"

	"bldst/shared/problem"
)

// artifact returns the artifact that artifact_storage_* of r, which was applied
// to b, stands for; nil for none. It is called after its state, and its target,
// so that the same report means the same artifact. A resume may restore it when
// the report says that the state is done. The checksum is held to the rules of
// POST /artifacts; a failure is not lost for it.
func (r *Report) artifact(b *Build, kind Kind, now time.Time) (*Artifact, error) {
	sum, algorithm, err := parseChecksum(r.ArtifactChecksum, "")
	switch {
	case err != nil && r.failing():
		r.Warnings = append(r.Warnings, "The field 'artifact_checksum' is no checksum; no artifact was registered")
		return nil, nil
	case err != nil:
		p := problem.From(err)
		return nil, problem.BadField("artifact_checksum", p.Fields[0].Type, "%s", p.Fields[0].Msg)
	case r.ArtifactStoragePath == "":
		if sum != nil || r.ArtifactStorageType != "" || r.ArtifactSizeBytes != nil {
			r.Warnings = append(r.Warnings, "No artifact was registered: the field 'artifact_storage_path' is missing")
		}
		return nil, nil
	case kind == StateRepeated && r.How != Completed:
		return nil, nil
	}
	a := &Artifact{BuildID: b.ID, StateCode: r.At, Name: "state-" + strconv.Itoa(r.At), Type: "checkpoint", Path: r.ArtifactStoragePath,
		Backend: either(r.ArtifactStorageType, scheme(r.ArtifactStoragePath), "unknown"), Size: r.ArtifactSizeBytes, Checksum: sum, Algorithm: algorithm,
		Resumable: r.How == Completed, Metadata: r.ArtifactMetadata, Attempt: b.Attempt, CreatedAt: now, UpdatedAt: now, Latest: true}
	if isNull(a.Metadata) {
		a.Metadata = nil
	}
	if r.Target != "" {
		a.Name, a.Target = a.Name+"-"+r.Target, &r.Target
	}
	return a, nil
}

// scheme returns what stands before :// of an address, "" when there is none.
func scheme(address string) string {
	before, _, found := strings.Cut(address, "://")
	if !found || len(before) > 20 {
		return ""
	}
	return before
}

func artifactID(a *Artifact) *string {
	if a == nil {
		return nil
	}
	return &a.ID
}
