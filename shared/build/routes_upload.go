package build

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"time"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/problem"
)

// A FileService moves the files of artifacts into the deployment's bucket and
// out of it. Bucket is nil where there is none: then it answers Unavailable.
type FileService struct {
	Store  UploadStore
	Reads  ArtifactStore
	Bucket Bucket
	Now    func() time.Time
}

// Mount adds the endpoints of files.
func (s *FileService) Mount(a *api.API) {
	const tag, uploads, one = "Files", "/builds/{id}/uploads", "/builds/{id}/uploads/{uid}"
	gone := []problem.Kind{problem.NotFound, problem.Unavailable}
	refused := append(gone, problem.Conflict, problem.StaleAttempt)
	api.Handle(a, api.Op{ID: "create-upload", Method: http.MethodPost, Path: uploads, Scope: auth.Write, Tag: tag, Status: http.StatusCreated, Also: http.StatusOK,
		Summary: "Begin to upload the file of an artifact", Description: uploadDoc, Problems: refused, Request: exampleUploadIn, Answer: exampleUpload}, s.begin)
	api.Handle(a, api.Op{ID: "list-uploads", Method: http.MethodGet, Path: uploads, Scope: auth.Read, Tag: tag,
		Summary: "List the uploads of a build that are not complete, oldest first", Problems: gone, Answer: []Upload{exampleUpload}}, s.list)
	api.Handle(a, api.Op{ID: "get-upload", Method: http.MethodGet, Path: one, Scope: auth.Read, Tag: tag,
		Summary: "Get an upload", Problems: gone, Answer: exampleUpload}, s.get)
	api.Handle(a, api.Op{ID: "sign-parts", Method: http.MethodPost, Path: one + "/parts", Scope: auth.Write, Tag: tag,
		Summary: "Get the requests that upload parts", Description: signDoc, Problems: refused, Request: exampleParts, Answer: exampleSigned}, s.sign)
	api.Handle(a, api.Op{ID: "list-parts", Method: http.MethodGet, Path: one + "/parts", Scope: auth.Read, Tag: tag,
		Summary: "List the parts that have arrived", Description: "Who was interrupted compares them with the file and sends what is missing.", Problems: gone, Answer: []Part{examplePart}}, s.parts)
	api.Handle(a, api.Op{ID: "complete-upload", Method: http.MethodPost, Path: one + "/complete", Scope: auth.Write, Tag: tag, Status: http.StatusCreated, Also: http.StatusOK,
		Summary: "Register the artifact whose file was uploaded", Description: completeDoc, Problems: refused, Request: exampleCompleteIn, Answer: exampleArtifact}, s.complete)
	api.Handle(a, api.Op{ID: "abort-upload", Method: http.MethodDelete, Path: one, Scope: auth.Write, Tag: tag, Status: http.StatusNoContent,
		Summary: "Throw an upload away", Problems: refused}, s.abort)
	api.Handle(a, api.Op{ID: "get-download", Method: http.MethodGet, Path: "/builds/{id}/downloads/{aid}", Scope: auth.Read, Tag: tag,
		Summary: "Get the request that reads the file of an artifact", Description: downloadDoc, Problems: append(gone, problem.Conflict), Answer: exampleDownload}, s.download)
}

const (
	uploadDoc = "An upload of the same name, state, attempt and part size that is not complete is answered with 200: it goes on where it was. " +
		"One that nobody completes is thrown away after two days."
	signDoc = "Each request is good for one part with this size and this checksum, without any credential, for an hour. " +
		"Every part but the last has `part_size` bytes. A part may be sent again."
	completeDoc = "Refused with 409 until every part has arrived and they are the file that is described. " +
		"Complete again: the same answer, with 200."
	downloadDoc = "Only artifacts that were uploaded here have one. The request takes a Range. Compare size and checksum with what you have read."
)

// bucket returns the bucket.
func (s *FileService) bucket() (Bucket, error) {
	if s.Bucket == nil {
		return nil, problem.New(problem.Unavailable, "This deployment has no bucket for files. Store the file elsewhere and POST its address to /builds/ID/artifacts.")
	}
	return s.Bucket, nil
}

type beginIn struct {
	Ref
	Body UploadIn
}

type uploadOut struct {
	Status int
	Body   Upload
}

// begin answers the open upload that will do, or makes one. An older attempt's
// upload of the same name is thrown away: what it holds is half a file.
func (s *FileService) begin(ctx context.Context, in *beginIn) (*uploadOut, error) {
	bucket, err := s.bucket()
	if err != nil {
		return nil, err
	}
	u, added, err := s.Store.AddUpload(ctx, in.ID, func(b *Build, rules Rules, open []*Upload, id string, now time.Time) (*Upload, error) {
		u, err := in.Body.Upload(b, rules, id, now)
		if err != nil {
			return nil, err
		}
		for _, old := range open {
			if u.goesOn(old, now) {
				return old, nil
			}
		}
		u.Handle, err = bucket.Begin(ctx, u.Key(), u.PartSize)
		return u, err
	})
	if err != nil {
		return nil, err
	}
	if !added {
		return &uploadOut{http.StatusOK, u.View()}, nil
	}
	return &uploadOut{http.StatusCreated, u.View()}, nil
}

type listUploadsIn struct {
	Ref
	api.Page
}

func (s *FileService) list(ctx context.Context, in *listUploadsIn) (*api.List[Upload], error) {
	us, err := s.Store.Uploads(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	views := []Upload{}
	for _, u := range us {
		if u.Open(s.Now()) {
			views = append(views, u.View())
		}
	}
	return api.Window(in.Page, views)
}

// An UploadRef is the upload in a path.
type UploadRef struct {
	Ref
	UID string `path:"uid" maxLength:"200" doc:"Id of the upload."`
}

func (s *FileService) get(ctx context.Context, in *UploadRef) (*api.Object[Upload], error) {
	u, _, err := s.Store.Upload(ctx, in.ID, in.UID)
	if err != nil {
		return nil, err
	}
	return api.Rev(u.Rev, u.View()), nil
}

type signIn struct {
	UploadRef
	Body struct {
		Parts []Part `json:"parts" required:"true" minItems:"1" maxItems:"100"`
		Claimed
	}
}

// A SignedPart is the request that uploads a part.
type SignedPart struct {
	Number int `json:"part_number"`
	Signed
}

// SignedParts are the requests that upload parts, in the order they were asked
// for.
type SignedParts struct {
	Parts []SignedPart `json:"parts"`
}

func (s *FileService) sign(ctx context.Context, in *signIn) (*api.Object[SignedParts], error) {
	bucket, u, err := s.open(ctx, in.UploadRef)
	if err != nil {
		return nil, err
	}
	out := SignedParts{Parts: []SignedPart{}}
	for _, p := range in.Body.Parts {
		if err := u.check(p); err != nil {
			return nil, err
		}
		r, err := bucket.Put(ctx, u.Key(), u.Handle, p)
		if err != nil {
			return nil, err
		}
		out.Parts = append(out.Parts, SignedPart{p.Number, r})
	}
	return &api.Object[SignedParts]{Body: out}, nil
}

// open returns an upload that takes parts.
func (s *FileService) open(ctx context.Context, ref UploadRef) (Bucket, *Upload, error) {
	bucket, err := s.bucket()
	if err != nil {
		return nil, nil, err
	}
	u, b, err := s.Store.Upload(ctx, ref.ID, ref.UID)
	if err == nil {
		err = b.Fence(auth.RequestOf(ctx).Claim, s.Now())
	}
	switch {
	case err != nil:
		return nil, nil, err
	case u.Artifact != nil:
		return nil, nil, problem.New(problem.Conflict, "The upload is complete: it is artifact %s.", *u.Artifact)
	case !u.Open(s.Now()):
		return nil, nil, problem.New(problem.Conflict, "The upload expired at %s; begin a new one.", u.ExpiresAt.Format(time.RFC3339))
	case u.Attempt != b.Attempt:
		return nil, nil, problem.New(problem.StaleAttempt, "The upload belongs to attempt %d, which was replaced by attempt %d; begin a new one.", u.Attempt, b.Attempt)
	}
	return bucket, u, nil
}

type partsIn struct {
	UploadRef
	api.Page
}

func (s *FileService) parts(ctx context.Context, in *partsIn) (*api.List[Part], error) {
	bucket, err := s.bucket()
	if err != nil {
		return nil, err
	}
	u, _, err := s.Store.Upload(ctx, in.ID, in.UID)
	if err != nil {
		return nil, err
	}
	after := in.Skip
	if in.Cursor != "" {
		if after, err = partCursor(in.Cursor); err != nil {
			return nil, err
		}
	}
	ps, err := bucket.Parts(ctx, u.Key(), u.Handle, after, in.Limit)
	if problem.Is(err, problem.NotFound) { // it has become the object
		ps, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := &api.List[Part]{Body: append([]Part{}, ps...)}
	if len(ps) == in.Limit {
		out.Link = in.Next(base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(ps[len(ps)-1].Number))))
	}
	return out, nil
}

// partCursor reads the cursor of a list of parts: the last number of a page.
func partCursor(cursor string) (int, error) {
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	n, nerr := strconv.Atoi(string(b))
	if err != nil || nerr != nil || n < 0 {
		return 0, &problem.Problem{Kind: problem.Invalid, Fields: []problem.Field{{Loc: []any{"query", "cursor"}, Msg: "Not a cursor of this list", Type: "value_error"}}}
	}
	return n, nil
}

type completeIn struct {
	UploadRef
	Body CompleteIn
}

type completeOut struct {
	Status int
	ETag   string `header:"ETag"`
	Body   *Artifact
}

// complete makes the parts an object, then registers it. When only the second
// is left to be done, since the server ended in between, that is done.
func (s *FileService) complete(ctx context.Context, in *completeIn) (*completeOut, error) {
	bucket, err := s.bucket()
	if err != nil {
		return nil, err
	}
	var done *Upload // whose parts are its object
	a, added, err := s.Store.CompleteUpload(ctx, in.ID, in.UID, func(b *Build, u *Upload, rules Rules, now time.Time) (*Artifact, error) {
		if u.Attempt != b.Attempt {
			return nil, problem.New(problem.StaleAttempt, "The upload belongs to attempt %d, which was replaced by attempt %d; begin a new one.", u.Attempt, b.Attempt)
		}
		a, err := in.Body.Artifact(b, u, bucket.Place(u.Key()), rules, now)
		if err != nil || done != nil {
			return a, err
		}
		if err := finish(ctx, bucket, u, in.Body); err != nil {
			return nil, err
		}
		done = u
		return a, nil
	})
	if err != nil {
		return nil, err
	}
	if !added && done != nil { // the same file again
		if err := errors.Join(s.Store.RemoveUpload(ctx, in.ID, done.ID), bucket.Abort(ctx, done.Key(), done.Handle)); err != nil {
			return nil, err
		}
	}
	out := &completeOut{Status: http.StatusOK, ETag: api.ETag(a.Rev), Body: a}
	if added {
		out.Status = http.StatusCreated
	}
	return out, nil
}

// finish makes the parts of u, when they are whole, its object.
func finish(ctx context.Context, bucket Bucket, u *Upload, in CompleteIn) error {
	parts, err := allParts(ctx, bucket, u)
	if problem.Is(err, problem.NotFound) {
		size, err := bucket.Size(ctx, u.Key())
		switch {
		case problem.Is(err, problem.NotFound):
			return problem.New(problem.Conflict, "The upload is gone: it was thrown away. Begin a new one.")
		case err != nil:
			return err
		case size != in.SizeBytes:
			return incomplete("%d of %d bytes have arrived", size, in.SizeBytes)
		}
		return nil
	}
	if err != nil {
		return err
	}
	if err := in.Whole(u, parts); err != nil {
		return err
	}
	return bucket.Finish(ctx, u.Key(), u.Handle, parts)
}

func allParts(ctx context.Context, bucket Bucket, u *Upload) ([]Part, error) {
	const page = 1000
	var out []Part
	for after := 0; ; after = out[len(out)-1].Number {
		ps, err := bucket.Parts(ctx, u.Key(), u.Handle, after, page)
		if err != nil {
			return nil, err
		}
		out = append(out, ps...)
		if len(ps) < page {
			return out, nil
		}
	}
}

func (s *FileService) abort(ctx context.Context, in *UploadRef) (*api.Empty, error) {
	bucket, err := s.bucket()
	if err != nil {
		return nil, err
	}
	u, _, err := s.Store.Upload(ctx, in.ID, in.UID)
	if err != nil {
		return nil, err
	}
	if u.Artifact != nil {
		return nil, problem.New(problem.Conflict, "The upload is complete: it is artifact %s. Delete or revoke that.", *u.Artifact)
	}
	if err := s.Store.RemoveUpload(ctx, in.ID, u.ID); err != nil {
		return nil, err
	}
	return nil, bucket.Abort(ctx, u.Key(), u.Handle)
}

// A Download is how the file of an artifact is read, and what it must be.
type Download struct {
	Artifact *Artifact `json:"artifact"`
	Signed
}

func (s *FileService) download(ctx context.Context, in *ArtifactRef) (*api.Object[Download], error) {
	bucket, err := s.bucket()
	if err != nil {
		return nil, err
	}
	a, err := s.Reads.Artifact(ctx, in.ID, in.Artifact, false)
	if err != nil {
		return nil, err
	}
	key, err := ownKey(a, bucket)
	if err != nil {
		return nil, err
	}
	r, err := bucket.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	return api.Rev(a.Rev, Download{a, r}), nil
}

// ownKey returns the key of a's object, Conflict when it lies elsewhere. Only
// what its own build has uploaded counts: an artifact says itself where it is.
func ownKey(a *Artifact, bucket Bucket) (string, error) {
	if a.Key != nil && len(*a.Key) > len(keyPrefix(a.BuildID)) && (*a.Key)[:len(keyPrefix(a.BuildID))] == keyPrefix(a.BuildID) {
		at := bucket.Place(*a.Key)
		if a.Backend == at.Backend && a.Path == at.Path {
			return *a.Key, nil
		}
	}
	return "", problem.New(problem.Conflict, "Artifact '%s' was not uploaded here; it is at %s (%s). Read it from there.", a.Name, a.Path, a.Backend)
}
