package build

import (
	"context"
	"encoding/json"
	"strings"
	"time"
	"unicode"

	"bldst/shared/api"
	"bldst/shared/problem"
)

// An Artifact is something a build left behind: a checkpoint to resume from, a
// log, the finished image. Only its record is kept here, never the thing. The
// row in the table is its JSON.
type Artifact struct {
	ID           string          `json:"id"`
	BuildID      string          `json:"build_id"`
	StateCode    int             `json:"state_code" minimum:"0" maximum:"100"`
	Name         string          `json:"artifact_name"`
	Type         string          `json:"artifact_type"`
	Path         string          `json:"artifact_path"`
	Backend      string          `json:"storage_backend"`
	Region       *string         `json:"storage_region"`
	Bucket       *string         `json:"storage_bucket"`
	Key          *string         `json:"storage_key"`
	Size         *int64          `json:"size_bytes"`
	Checksum     *string         `json:"checksum" doc:"Lower-case hex, without the name of the algorithm."`
	Algorithm    string          `json:"checksum_algorithm"`
	Resumable    bool            `json:"is_resumable"`
	Final        bool            `json:"is_final"`
	ExpiresAt    *time.Time      `json:"expires_at" doc:"From then on it is not restored."`
	Metadata     json.RawMessage `json:"metadata"`
	Target       *string         `json:"target" doc:"The part of the build it belongs to, e.g. a region."`
	Attempt      int             `json:"attempt" doc:"The attempt that registered it."`
	CreatedAt    time.Time       `json:"created_at"`
	UpdatedAt    time.Time       `json:"updated_at"`
	DeletedAt    *time.Time      `json:"deleted_at"`
	RevokedAt    *time.Time      `json:"revoked_at" doc:"From then on it is never restored."`
	RevokedBy    *string         `json:"revoked_by"`
	RevokeReason *string         `json:"revoke_reason"`
	SupersededAt *time.Time      `json:"superseded_at" doc:"From then on another one has its name; it is never restored."`
	SupersededBy *string         `json:"superseded_by" doc:"The id of that one."`
	Rev          int64           `json:"-"`
	Latest       bool            `json:"-"` // it takes its name from any other one
	Uploaded     bool            `json:"-"` // its file was just uploaded: the same file again is the same artifact
	Redone       bool            `json:"-"` // and its state is not completed: it takes the place of what a killed worker has saved of that
}

// Expired reports whether a is not to be restored any more at now.
func (a *Artifact) Expired(now time.Time) bool {
	return a.ExpiresAt != nil && !a.ExpiresAt.After(now)
}

// Usable reports whether a may be used by a resume at now: it is neither
// deleted, nor revoked, nor expired, nor superseded.
func (a *Artifact) Usable(now time.Time) bool {
	return a.DeletedAt == nil && a.RevokedAt == nil && a.SupersededAt == nil && !a.Expired(now)
}

// Same reports whether b registers what a has registered in the same attempt: it
// came twice.
func (a *Artifact) Same(b *Artifact) bool {
	return b.Uploaded && a.sameFile(b) || a.Attempt == b.Attempt && a.StateCode == b.StateCode && a.Type == b.Type && a.Path == b.Path && a.Backend == b.Backend && a.RevokedAt == nil &&
		a.Algorithm == b.Algorithm && (a.Resumable == b.Resumable || !b.Latest) && equal(a.Checksum, b.Checksum) && equal(a.Size, b.Size) && equal(a.Target, b.Target)
}

// equal reports whether both are absent, or the same.
func equal[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// sameFile reports whether b is the same file as a, of the same state of the same
// attempt.
func (a *Artifact) sameFile(b *Artifact) bool {
	return a.Attempt == b.Attempt && a.StateCode == b.StateCode && a.RevokedAt == nil && a.Algorithm == b.Algorithm && a.Checksum != nil &&
		equal(a.Checksum, b.Checksum) && equal(a.Size, b.Size) && equal(a.Target, b.Target)
}

// Supersede gives the name of a to by, which was made later: in a later attempt,
// after a was revoked, or when its state is done again. It reports whether it may.
func (a *Artifact) Supersede(by *Artifact, now time.Time) bool {
	if by.Attempt <= a.Attempt && a.RevokedAt == nil && !by.Latest && !(by.Redone && by.StateCode == a.StateCode) {
		return false
	}
	a.SupersededAt, a.SupersededBy, a.UpdatedAt = &now, &by.ID, now
	return true
}

// Record is a as it goes into the history: without the caller's metadata.
func (a *Artifact) Record() any {
	r := *a
	r.Metadata = nil
	return r
}

// An ArtifactStore keeps the artifacts of builds. ref is the id or number of
// the build, which must exist (NotFound "Build REF not found"); an artifact is
// named by its id or, while it is not deleted, by its name (NotFound "Artifact
// A not found for build REF").
type ArtifactStore interface {
	// AddArtifact stores the artifact f makes, under the name given. One that has
	// the name is returned when it is the same, and superseded when it is of an
	// earlier attempt or was revoked; else Conflict with its id.
	AddArtifact(ctx context.Context, ref, name string, f func(b *Build, rules Rules, now time.Time) (*Artifact, error)) (*Artifact, error)
	// Artifact returns one artifact; a deleted one only when deleted is true.
	Artifact(ctx context.Context, ref, artifact string, deleted bool) (*Artifact, error)
	// Artifacts returns a page, ordered by state and then by age.
	Artifacts(ctx context.Context, ref string, q ArtifactQuery) ([]*Artifact, string, error)
	// ChangeArtifact lets f change an artifact and stores it; f says what the
	// history is to call the change. f sees deleted ones only when deleted is
	// true. Conflict when its new name is taken.
	ChangeArtifact(ctx context.Context, ref, artifact string, deleted bool, f func(a *Artifact, now time.Time) (Kind, error)) (*Artifact, error)
}

// An ArtifactQuery selects artifacts of a build. Zero fields select all.
type ArtifactQuery struct {
	State     *int
	Type      string
	Resumable *bool
	Final     *bool
	Deleted   bool // deleted and superseded ones too
	PageQuery
}

// Wants reports whether q selects a.
func (q *ArtifactQuery) Wants(a *Artifact) bool {
	return (q.State == nil || *q.State == a.StateCode) && (q.Type == "" || q.Type == a.Type) &&
		(q.Resumable == nil || *q.Resumable == a.Resumable) && (q.Final == nil || *q.Final == a.Final) &&
		(q.Deleted || a.DeletedAt == nil && a.SupersededAt == nil)
}

// A PageQuery asks for one page of a list.
type PageQuery struct {
	Skip, Limit int
	Cursor      string
}

// An ArtifactIn is the body of POST /builds/{id}/artifacts.
type ArtifactIn struct {
	StateCode         api.IntOrString `json:"state_code,omitzero" doc:"The state it is the result of: 0-100, or its name. Required."`
	State             api.IntOrString `json:"state,omitzero" doc:"Alias of state_code."`
	ArtifactName      string          `json:"artifact_name" required:"true" minLength:"1" maxLength:"200" doc:"Unique in the build. One of an earlier attempt, or that was revoked, is superseded."`
	ArtifactType      string          `json:"artifact_type" required:"true" minLength:"1" maxLength:"100" doc:"vm_snapshot, ebs_snapshot, ami, disk_image, config_file ..."`
	ArtifactPath      string          `json:"artifact_path" required:"true" minLength:"1" maxLength:"2000" doc:"Any address."`
	StorageBackend    string          `json:"storage_backend" required:"true" minLength:"1" maxLength:"100" doc:"s3, azure_blob, gcp_storage, local, vsphere, nfs, aws ..."`
	StorageRegion     *string         `json:"storage_region,omitempty" maxLength:"100"`
	StorageBucket     *string         `json:"storage_bucket,omitempty" maxLength:"300"`
	StorageKey        *string         `json:"storage_key,omitempty" maxLength:"2000"`
	SizeBytes         *int64          `json:"size_bytes,omitempty" minimum:"0"`
	Checksum          string          `json:"checksum,omitempty" maxLength:"200" doc:"Hex, also with the algorithm in front (sha256:...)."`
	ChecksumAlgorithm string          `json:"checksum_algorithm,omitempty" maxLength:"50" doc:"Default sha256."`
	IsResumable       *bool           `json:"is_resumable,omitempty" doc:"Default true: a resume may restore it."`
	IsFinal           *bool           `json:"is_final,omitempty" doc:"Default false."`
	ExpiresAt         *api.Time       `json:"expires_at,omitempty" doc:"From then on it is not restored."`
	Metadata          json.RawMessage `json:"metadata,omitempty" doc:"An object: vm_id, snapshot_id, ami_id ..."`
	Target            *string         `json:"target,omitempty" maxLength:"200" doc:"The part of the build it belongs to, e.g. a region."`
	Claimed
}

// Artifact returns the new artifact of b that in describes. One can be
// registered whatever became of the build: it is evidence.
func (in ArtifactIn) Artifact(b *Build, rules Rules, now time.Time) (*Artifact, error) {
	code, err := ReportIn{StateCode: in.StateCode, State: in.State}.code(b.Current, rules)
	if err != nil {
		return nil, err
	}
	a := &Artifact{
		BuildID: b.ID, StateCode: code.Number, Name: in.ArtifactName, Type: in.ArtifactType, Path: in.ArtifactPath,
		Backend: in.StorageBackend, Region: in.StorageRegion, Bucket: in.StorageBucket, Key: in.StorageKey, Size: in.SizeBytes,
		Resumable: in.IsResumable == nil || *in.IsResumable, Final: in.IsFinal != nil && *in.IsFinal,
		Target: in.Target, Attempt: b.Attempt, CreatedAt: now, UpdatedAt: now,
	}
	if a.Checksum, a.Algorithm, err = parseChecksum(in.Checksum, in.ChecksumAlgorithm); err != nil {
		return nil, err
	}
	if err := plainText("artifact_name", a.Name); err != nil {
		return nil, err
	}
	a.ExpiresAt = in.ExpiresAt.At()
	a.Metadata, err = object("metadata", in.Metadata)
	return a, err
}

// hexDigits are the lengths of the checksums whose algorithm is known.
var hexDigits = map[string]int{"md5": 32, "sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}

// DefaultAlgorithm is the algorithm of checksums that do not name theirs.
const DefaultAlgorithm = "sha256"

// parseChecksum returns a checksum without the algorithm that may stand in
// front of it, and the algorithm. The checksum is nil when there is none.
func parseChecksum(sum, algorithm string) (*string, string, error) {
	algorithm = algorithmName(algorithm)
	if front, rest, ok := strings.Cut(sum, ":"); ok && (hexDigits[algorithmName(front)] > 0 || algorithmName(front) == algorithm) {
		if named := algorithmName(front); algorithm != "" && algorithm != named {
			return nil, "", problem.BadField("checksum", "value_error", "The checksum says %s, checksum_algorithm says %s", named, algorithm)
		}
		sum, algorithm = rest, algorithmName(front)
	}
	if algorithm == "" {
		algorithm = DefaultAlgorithm
	}
	sum = strings.TrimSpace(sum)
	if sum == "" {
		return nil, algorithm, nil
	}
	digits, known := hexDigits[algorithm]
	if !known {
		return &sum, algorithm, nil
	}
	sum = strings.ToLower(sum)
	if len(sum) != digits || strings.Trim(sum, "0123456789abcdef") != "" {
		return nil, "", problem.BadField("checksum", "value_error", "A %s checksum is %d hexadecimal digits", algorithm, digits)
	}
	return &sum, algorithm, nil
}

// algorithmName spells an algorithm as it is stored: SHA-256 is sha256.
func algorithmName(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if plain := strings.ReplaceAll(s, "-", ""); hexDigits[plain] > 0 {
		return plain
	}
	return s
}

// plainText refuses names that hold control characters.
func plainText(field, s string) error {
	if strings.ContainsFunc(s, unicode.IsControl) {
		return problem.BadField(field, "value_error", "No control characters")
	}
	return nil
}

// object checks a document a caller attaches: an object of bounded size, nil
// for null.
func object(field string, doc json.RawMessage) (json.RawMessage, error) {
	if isNull(doc) {
		return nil, nil
	}
	if len(doc) > MaxMetadata {
		return nil, problem.New(problem.TooLarge, "%s is larger than %d bytes; store it elsewhere and send its address.", field, MaxMetadata)
	}
	if doc[0] != '{' {
		return nil, problem.BadField(field, "type_error", "Expected an object")
	}
	return doc, nil
}

// An ArtifactPatch is the body of PATCH /builds/{id}/artifacts/{aid}: any
// subset. null clears expires_at, metadata, checksum and size_bytes; for the others
// it is the same as leaving them out.
type ArtifactPatch struct {
	ArtifactName *string         `json:"artifact_name,omitempty" minLength:"1" maxLength:"200"`
	ArtifactType *string         `json:"artifact_type,omitempty" minLength:"1" maxLength:"100"`
	ArtifactPath *string         `json:"artifact_path,omitempty" minLength:"1" maxLength:"2000" doc:"Together with checksum and size_bytes, which may be null for unknown."`
	Checksum     *string         `json:"checksum,omitempty" maxLength:"200" doc:"Together with artifact_path and size_bytes."`
	Algorithm    string          `json:"checksum_algorithm,omitempty" maxLength:"50" doc:"Of checksum; default sha256."`
	SizeBytes    *int64          `json:"size_bytes,omitempty" minimum:"0" doc:"Together with artifact_path and checksum."`
	IsResumable  *bool           `json:"is_resumable,omitempty"`
	IsFinal      *bool           `json:"is_final,omitempty"`
	ExpiresAt    *api.Time       `json:"expires_at,omitempty" doc:"null for never."`
	Metadata     json.RawMessage `json:"metadata,omitempty" doc:"Replaces what there is; null for none."`
	Claimed
}

// replace says that a is another thing: where it is, and its checksum and size.
// One of them without the others would make a wrong record.
func (p ArtifactPatch) replace(a *Artifact, null func(field string) bool) error {
	given := []struct {
		name string
		is   bool
	}{{"artifact_path", p.ArtifactPath != nil}, {"checksum", p.Checksum != nil || null("checksum")}, {"size_bytes", p.SizeBytes != nil || null("size_bytes")}}
	missing, some := "", p.Algorithm != ""
	for _, f := range given {
		if some = some || f.is; !f.is && missing == "" {
			missing = f.name
		}
	}
	switch {
	case !some:
		return nil
	case missing != "":
		return problem.BadField(missing, "missing", "artifact_path, checksum and size_bytes are changed together; a checksum or size that is not known is null")
	}
	sum := ""
	if p.Checksum != nil {
		sum = *p.Checksum
	}
	var err error
	a.Path, a.Size = *p.ArtifactPath, p.SizeBytes
	a.Checksum, a.Algorithm, err = parseChecksum(sum, p.Algorithm)
	return err
}

// Apply changes a. null says which fields the caller wants cleared.
func (p ArtifactPatch) Apply(a *Artifact, null func(field string) bool) error {
	if err := p.replace(a, null); err != nil {
		return err
	}
	for _, f := range []struct{ to, from *string }{{&a.Name, p.ArtifactName}, {&a.Type, p.ArtifactType}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	for _, f := range []struct{ to, from *bool }{{&a.Resumable, p.IsResumable}, {&a.Final, p.IsFinal}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if p.ExpiresAt != nil {
		a.ExpiresAt = p.ExpiresAt.At()
	}
	doc, err := object("metadata", p.Metadata)
	if err != nil {
		return err
	}
	if doc != nil || null("metadata") {
		a.Metadata = doc
	}
	if null("expires_at") {
		a.ExpiresAt = nil
	}
	return plainText("artifact_name", a.Name)
}
