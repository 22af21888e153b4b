package build

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"bldst/shared/api"
	"bldst/shared/problem"
)

// An Upload is the file of an artifact on its way into the deployment's own
// bucket, part by part. The bytes go from the caller to the bucket through
// signed requests and never through the API.
type Upload struct {
	ID        string    `json:"id"`
	BuildID   string    `json:"build_id"`
	Name      string    `json:"artifact_name"`
	StateCode int       `json:"state_code" minimum:"0" maximum:"100"`
	Attempt   int       `json:"attempt" doc:"The attempt that began it."`
	PartSize  int64     `json:"part_size" doc:"Bytes of every part but the last, which has what is left."`
	Size      *int64    `json:"size_bytes" doc:"What was announced; null when it was not known."`
	Artifact  *string   `json:"artifact_id" doc:"The artifact, once the upload is complete."`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at" doc:"From then on an upload that is not complete is thrown away."`
	Handle    string    `json:"handle,omitempty" doc:"What the bucket calls it."`
	Rev       int64     `json:"-"`
}

// Limits of uploads. Those of parts are the ones of S3: see "Amazon S3 multipart
// upload limits" in its User Guide.
const (
	MinPart, MaxPart = 5 << 20, 5 << 30 // bytes of a part; the last one may be smaller
	MaxParts         = 10_000
	DefaultPart      = 8 << 20
	MaxFile          = 5 << 40 // bytes of a file

	UploadLife = 48 * time.Hour // an upload that nobody completes is kept so long; infra's lifecycle rule says the same
)

// A Part is one part of an upload that the bucket has.
type Part struct {
	Number int    `json:"part_number" minimum:"1" maximum:"10000"`
	Size   int64  `json:"size_bytes" minimum:"0"`
	CRC32C string `json:"checksum_crc32c" minLength:"8" maxLength:"8" doc:"CRC-32C of its bytes: 4 bytes, the highest first, as base64."`
	Tag    string `json:"-"` // what the bucket wants to hear of it at the end
}

// A Signed is a request that its holder may make, without any credential, until
// it expires: with this method, URL and these headers.
type Signed struct {
	Method    string            `json:"method"`
	URL       string            `json:"url"`
	Headers   map[string]string `json:"headers,omitempty" doc:"Must be sent as they are."`
	ExpiresAt time.Time         `json:"expires_at"`
}

// A Place says where an object lies, as an artifact does.
type Place struct{ Path, Backend, Region, Bucket string }

// A Bucket keeps files. A key is used for one upload only. The bucket takes
// parts in any order and one again in place of the one before; it checks size
// and checksum of each.
type Bucket interface {
	// Place says where the object at key is, or will be.
	Place(key string) Place
	// Begin begins an upload of parts of that size and returns what the bucket
	// calls it.
	Begin(ctx context.Context, key string, partSize int64) (handle string, err error)
	// Put signs the request that uploads a part.
	Put(ctx context.Context, key, handle string, p Part) (Signed, error)
	// Parts returns at most limit of the parts that are there, those with numbers
	// above after, in order; NotFound when there is no such upload (any more).
	Parts(ctx context.Context, key, handle string, after, limit int) ([]Part, error)
	// Finish makes parts, which are all, the object at key.
	Finish(ctx context.Context, key, handle string, parts []Part) error
	// Abort throws the upload, or the object it has become, away. It is no error
	// when there is none.
	Abort(ctx context.Context, key, handle string) error
	// Size returns the size of an object; NotFound when there is none.
	Size(ctx context.Context, key string) (int64, error)
	// Get signs the request that reads an object; it takes a Range.
	Get(ctx context.Context, key string) (Signed, error)
}

// Key returns the key of the upload's object.
func (u *Upload) Key() string { return keyPrefix(u.BuildID) + u.ID + "/" + fileName(u.Name) }

// keyPrefix begins the keys of everything a build has in the bucket.
func keyPrefix(build string) string { return "builds/" + build + "/" }

// fileName is name as the last part of a key: what is not plain is replaced.
func fileName(name string) string {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return '_'
	}, name)
	if strings.Trim(plain, ".") == "" {
		return "_"
	}
	return plain
}

// Open reports whether parts may be added to u at now.
func (u *Upload) Open(now time.Time) bool { return u.Artifact == nil && now.Before(u.ExpiresAt) }

// View is u without what is the bucket's business.
func (u *Upload) View() Upload {
	v := *u
	v.Handle = ""
	return v
}

// An UploadStore keeps uploads: rows of their builds, which vanish some time
// after they expire. ref is as in ArtifactStore.
type UploadStore interface {
	// AddUpload stores the upload f makes, unless f finds that one of open will
	// do and returns it. open are those of the build that are not complete, one
	// of them perhaps expired.
	AddUpload(ctx context.Context, ref string, f func(b *Build, rules Rules, open []*Upload, id string, now time.Time) (*Upload, error)) (u *Upload, added bool, err error)
	// Upload returns an upload and its build; NotFound when there is none.
	Upload(ctx context.Context, ref, id string) (*Upload, *Build, error)
	// Uploads returns the uploads of a build that are not complete, oldest first.
	Uploads(ctx context.Context, ref string) ([]*Upload, error)
	// CompleteUpload stores the artifact that f makes of the upload, and which
	// one it is. A complete one is answered with its artifact, without f, and one
	// whose file the artifact of that name and state has already, with that.
	CompleteUpload(ctx context.Context, ref, id string, f func(b *Build, u *Upload, rules Rules, now time.Time) (*Artifact, error)) (a *Artifact, added bool, err error)
	// RemoveUpload forgets an upload that is not complete.
	RemoveUpload(ctx context.Context, ref, id string) error
}

// An UploadIn is the body of POST /builds/{id}/uploads.
type UploadIn struct {
	StateCode    api.IntOrString `json:"state_code,omitzero" doc:"The state the file is the result of: 0-100, or its name. Required."`
	State        api.IntOrString `json:"state,omitzero" doc:"Alias of state_code."`
	ArtifactName string          `json:"artifact_name" required:"true" minLength:"1" maxLength:"200" doc:"What the artifact is to be called; unique in the build."`
	SizeBytes    *int64          `json:"size_bytes,omitempty" minimum:"0" maximum:"5497558138880" doc:"When it is known: then no other size is taken."`
	PartSize     int64           `json:"part_size,omitempty" minimum:"5242880" maximum:"5368709120" doc:"Bytes of a part; by default enough for the size in 10,000 parts, at least 8 MiB."`
	Claimed
}

// Upload returns the upload of b that in describes. id is the one it gets.
func (in UploadIn) Upload(b *Build, rules Rules, id string, now time.Time) (*Upload, error) {
	code, err := ReportIn{StateCode: in.StateCode, State: in.State}.code(b.Current, rules)
	if err != nil {
		return nil, err
	}
	if err := plainText("artifact_name", in.ArtifactName); err != nil {
		return nil, err
	}
	u := &Upload{ID: id, BuildID: b.ID, Name: in.ArtifactName, StateCode: code.Number, Attempt: b.Attempt, PartSize: in.PartSize, Size: in.SizeBytes,
		CreatedAt: now, ExpiresAt: now.Add(UploadLife)}
	if u.PartSize == 0 {
		u.PartSize = DefaultPart
		if u.Size != nil {
			u.PartSize = max(DefaultPart, (*u.Size/MaxParts+(1<<20))>>20<<20)
		}
	}
	if u.Size != nil && *u.Size > u.PartSize*MaxParts {
		return nil, problem.BadField("part_size", "out_of_range", "%d parts of %d bytes are fewer than size_bytes; take larger parts", MaxParts, u.PartSize)
	}
	return u, nil
}

// goesOn reports whether an upload that u describes may go on as old.
func (u *Upload) goesOn(old *Upload, now time.Time) bool {
	sameSize := u.Size == nil && old.Size == nil || u.Size != nil && old.Size != nil && *u.Size == *old.Size
	return old.Open(now) && old.Name == u.Name && old.Attempt == u.Attempt && old.StateCode == u.StateCode && old.PartSize == u.PartSize && sameSize
}

// check refuses parts that u cannot have.
func (u *Upload) check(p Part) error {
	switch sum, err := base64.StdEncoding.DecodeString(p.CRC32C); {
	case err != nil || len(sum) != 4:
		return problem.BadField("checksum_crc32c", "value_error", "Part %d: a CRC-32C is 4 bytes in base64", p.Number)
	case p.Number < 1 || p.Number > MaxParts:
		return problem.BadField("part_number", "out_of_range", "Parts are numbered from 1 to %d", MaxParts)
	case p.Size > u.PartSize:
		return problem.BadField("size_bytes", "out_of_range", "Part %d: the parts of this upload have %d bytes", p.Number, u.PartSize)
	case u.Size != nil && int64(p.Number-1)*u.PartSize+p.Size > *u.Size:
		return problem.BadField("size_bytes", "out_of_range", "Part %d goes beyond the %d bytes that were announced", p.Number, *u.Size)
	}
	return nil
}

// A CompleteIn is the body of POST /builds/{id}/uploads/{uid}/complete: what
// was sent, and what the artifact is.
type CompleteIn struct {
	SizeBytes    int64           `json:"size_bytes" required:"true" minimum:"0" doc:"Of the whole file."`
	Checksum     string          `json:"checksum" required:"true" minLength:"1" maxLength:"200" doc:"SHA-256 of the whole file in hex, also with sha256: in front."`
	CRC32C       string          `json:"checksum_crc32c" required:"true" maxLength:"20" doc:"CRC-32C of the CRC-32Cs of all parts, 4 bytes each, as base64, a hyphen, and how many parts there are: what S3 calls a composite checksum."`
	ArtifactType string          `json:"artifact_type,omitempty" maxLength:"100" doc:"Default file."`
	IsResumable  *bool           `json:"is_resumable,omitempty" doc:"Default true: a resume may restore it."`
	IsFinal      *bool           `json:"is_final,omitempty" doc:"Default false."`
	ExpiresAt    *api.Time       `json:"expires_at,omitempty" doc:"From then on it is not restored."`
	Metadata     json.RawMessage `json:"metadata,omitempty" doc:"An object."`
	Target       *string         `json:"target,omitempty" maxLength:"200" doc:"The part of the build it belongs to, e.g. a region."`
	Claimed
}

// Artifact returns the artifact of b that u becomes at place.
func (in CompleteIn) Artifact(b *Build, u *Upload, place Place, rules Rules, now time.Time) (*Artifact, error) {
	key := u.Key()
	a, err := ArtifactIn{StateCode: api.IntOrString{Int: &u.StateCode}, ArtifactName: u.Name, ArtifactType: either(in.ArtifactType, "file"), ArtifactPath: place.Path,
		StorageBackend: place.Backend, StorageRegion: notEmpty(place.Region), StorageBucket: notEmpty(place.Bucket), StorageKey: &key, SizeBytes: &in.SizeBytes,
		Checksum: in.Checksum, ChecksumAlgorithm: DefaultAlgorithm, IsResumable: in.IsResumable, IsFinal: in.IsFinal, ExpiresAt: in.ExpiresAt, Metadata: in.Metadata,
		Target: in.Target}.Artifact(b, rules, now)
	if err != nil {
		return nil, err
	}
	if a.Checksum == nil {
		return nil, problem.BadField("checksum", "missing", "The SHA-256 of the whole file is required")
	}
	m := b.Marks[a.StateCode]
	a.Uploaded, a.Redone = true, m.Attempt != b.Attempt || m.Status != Completed
	return a, nil
}

func notEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Whole reports that parts, which are those the bucket has of u, are the whole
// file that in describes. Its problem (Conflict) says what is missing.
func (in CompleteIn) Whole(u *Upload, parts []Part) error {
	size := int64(0)
	for i, p := range parts {
		last := i == len(parts)-1
		if p.Number != i+1 {
			return incomplete("part %d of %d is missing", i+1, parts[len(parts)-1].Number)
		}
		if !last && p.Size != u.PartSize {
			return incomplete("part %d has %d bytes instead of %d", p.Number, p.Size, u.PartSize)
		}
		size += p.Size
	}
	switch {
	case u.Size != nil && in.SizeBytes != *u.Size:
		return problem.BadField("size_bytes", "value_error", "%d bytes were announced when the upload began", *u.Size)
	case size != in.SizeBytes:
		return incomplete("%d of %d bytes have arrived", size, in.SizeBytes)
	case Composite(parts) != in.CRC32C:
		return incomplete("the parts that have arrived are not the ones that were sent (checksum_crc32c is %s)", Composite(parts))
	}
	return nil
}

func incomplete(format string, args ...any) error {
	return problem.New(problem.Conflict, "The upload is not complete: %s. GET the list of its parts, send what is missing, and complete it again.", fmt.Sprintf(format, args...))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CRC32C spells a CRC-32C as S3 does.
func CRC32C(sum uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}

// Composite returns the checksum of a file of these parts; that of a part which
// is spelled wrong counts as nothing.
func Composite(parts []Part) string {
	var all []byte
	for _, p := range parts {
		sum, _ := base64.StdEncoding.DecodeString(p.CRC32C)
		all = append(all, sum...)
	}
	return fmt.Sprintf("%s-%d", CRC32C(crc32.Checksum(all, castagnoli)), len(parts))
}
