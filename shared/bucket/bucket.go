// Package bucket is the deployment's bucket on Amazon S3. It makes the few
// requests that uploads need, and signs those that callers make themselves. The
// client of the SDK would be most of the size of the function that uses it.
//
// Parts are checked by S3: size and CRC-32C are part of what is signed.
package bucket

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"bldst/shared/build"
	"bldst/shared/problem"
)

// An Access says where S3 is and who asks.
type Access struct {
	Region       string
	Endpoint     string // "" is the one of the region
	KeyID        string
	Secret       string
	SessionToken string
}

// A Bucket is one bucket of S3. It is made by Open.
type Bucket struct {
	a    Access
	name string
	now  func() time.Time
}

var _ build.Bucket = (*Bucket)(nil)

// Open returns the bucket with that name. It connects to nothing.
func Open(a Access, name string) *Bucket { return &Bucket{a: a, name: name, now: time.Now} }

// linkLife is how long a signed request is good, unless the credentials it was
// signed with end before.
const linkLife = time.Hour

var client = &http.Client{Timeout: 50 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// Place implements build.Bucket.
func (b *Bucket) Place(key string) build.Place {
	return build.Place{Path: "s3://" + b.name + "/" + key, Backend: "s3", Region: b.a.Region, Bucket: b.name}
}

// address returns the URL of an object: the bucket is in the name of the host,
// or in the path where an endpoint was named.
func (b *Bucket) address(key string, query url.Values) string {
	at := strings.TrimRight(b.a.Endpoint, "/") + "/" + b.name
	if b.a.Endpoint == "" {
		domain := "amazonaws.com"
		if strings.HasPrefix(b.a.Region, "cn-") {
			domain += ".cn"
		}
		at = "https://" + b.name + ".s3." + b.a.Region + "." + domain
	}
	return at + "/" + key + "?" + query.Encode() // keys are plain, see build.Upload.Key
}

func (b *Bucket) signer() *v4.Signer {
	return v4.NewSigner(func(o *v4.SignerOptions) {
		o.DisableURIPathEscaping = true
		o.DisableHeaderHoisting = true // a checksum is a header that is signed and must be sent
	})
}

func (b *Bucket) credentials() aws.Credentials {
	return aws.Credentials{AccessKeyID: b.a.KeyID, SecretAccessKey: b.a.Secret, SessionToken: b.a.SessionToken}
}

const unsigned = "UNSIGNED-PAYLOAD"

// Put implements build.Bucket.
func (b *Bucket) Put(ctx context.Context, key, handle string, p build.Part) (build.Signed, error) {
	q := url.Values{"partNumber": {strconv.Itoa(p.Number)}, "uploadId": {handle}}
	return b.presign(ctx, http.MethodPut, key, q, p.Size, http.Header{"X-Amz-Checksum-Crc32c": {p.CRC32C}})
}

// Get implements build.Bucket.
func (b *Bucket) Get(ctx context.Context, key string) (build.Signed, error) {
	return b.presign(ctx, http.MethodGet, key, url.Values{}, 0, http.Header{})
}

func (b *Bucket) presign(ctx context.Context, method, key string, q url.Values, size int64, header http.Header) (build.Signed, error) {
	q.Set("X-Amz-Expires", strconv.Itoa(int(linkLife/time.Second)))
	r, err := http.NewRequestWithContext(ctx, method, b.address(key, q), nil)
	if err != nil {
		return build.Signed{}, fmt.Errorf("s3: %w", err)
	}
	r.Header, r.ContentLength = header, size
	at := b.now()
	link, _, err := b.signer().PresignHTTP(ctx, b.credentials(), r, unsigned, "s3", b.a.Region, at)
	if err != nil {
		return build.Signed{}, fmt.Errorf("s3: %w", err)
	}
	out := build.Signed{Method: method, URL: link, ExpiresAt: at.Add(linkLife).UTC().Truncate(time.Second)}
	for name := range header {
		if out.Headers == nil {
			out.Headers = map[string]string{}
		}
		out.Headers[strings.ToLower(name)] = header.Get(name)
	}
	return out, nil
}

// Begin implements build.Bucket.
func (b *Bucket) Begin(ctx context.Context, key string, _ int64) (string, error) {
	var out struct {
		UploadID string `xml:"UploadId"`
	}
	header := http.Header{"X-Amz-Checksum-Algorithm": {"CRC32C"}, "Content-Type": {"application/octet-stream"}}
	err := b.call(ctx, http.MethodPost, key, url.Values{"uploads": {""}}, header, nil, &out)
	return out.UploadID, err
}

// Parts implements build.Bucket.
func (b *Bucket) Parts(ctx context.Context, key, handle string, after, limit int) ([]build.Part, error) {
	var out struct {
		Part []struct {
			PartNumber     int
			Size           int64
			ETag           string
			ChecksumCRC32C string
		}
	}
	q := url.Values{"uploadId": {handle}, "max-parts": {strconv.Itoa(limit)}, "part-number-marker": {strconv.Itoa(after)}}
	if err := b.call(ctx, http.MethodGet, key, q, nil, nil, &out); err != nil {
		return nil, err
	}
	parts := []build.Part{}
	for _, p := range out.Part {
		parts = append(parts, build.Part{Number: p.PartNumber, Size: p.Size, CRC32C: p.ChecksumCRC32C, Tag: p.ETag})
	}
	return parts, nil
}

// Finish implements build.Bucket.
func (b *Bucket) Finish(ctx context.Context, key, handle string, parts []build.Part) error {
	type part struct {
		PartNumber     int
		ETag           string
		ChecksumCRC32C string
	}
	var in struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUpload"`
		Part    []part
	}
	for _, p := range parts {
		in.Part = append(in.Part, part{p.Number, p.Tag, p.CRC32C})
	}
	body, err := xml.Marshal(in)
	if err != nil {
		return fmt.Errorf("s3: %w", err)
	}
	return b.call(ctx, http.MethodPost, key, url.Values{"uploadId": {handle}}, http.Header{"Content-Type": {"application/xml"}}, body, nil)
}

// Abort implements build.Bucket.
func (b *Bucket) Abort(ctx context.Context, key, handle string) error {
	for _, q := range []url.Values{{"uploadId": {handle}}, {}} {
		if err := b.call(ctx, http.MethodDelete, key, q, nil, nil, nil); err != nil && !problem.Is(err, problem.NotFound) {
			return err
		}
	}
	return nil
}

// Size implements build.Bucket.
func (b *Bucket) Size(ctx context.Context, key string) (int64, error) {
	resp, err := b.send(ctx, http.MethodHead, key, url.Values{}, nil, nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, refusal(resp.StatusCode, "")
	}
	return resp.ContentLength, nil
}

func (b *Bucket) send(ctx context.Context, method, key string, q url.Values, header http.Header, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, b.address(key, q), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	if header != nil {
		r.Header = header
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	r.Header.Set("X-Amz-Content-Sha256", hash)
	if err := b.signer().SignHTTP(ctx, b.credentials(), r, hash, "s3", b.a.Region, b.now()); err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, &problem.Problem{Kind: problem.Unavailable, Detail: "The bucket cannot be reached now; try again.", Err: fmt.Errorf("s3 cannot be reached: %w", err)}
	}
	return resp, nil
}

// maxAnswer bounds an answer: a list of 1,000 parts is about 300 KiB.
const maxAnswer = 8 << 20

// call makes a request and decodes its answer. S3 may answer 200 and say in the
// body that completing an upload failed.
func (b *Bucket) call(ctx context.Context, method, key string, q url.Values, header http.Header, body []byte, out any) error {
	resp, err := b.send(ctx, method, key, q, header, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	doc, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("s3: %w", err)
	}
	var failed struct {
		XMLName xml.Name
		Code    string
	}
	if len(doc) > 0 {
		_ = xml.Unmarshal(doc, &failed) // what is no XML has no code
	}
	if resp.StatusCode/100 != 2 || failed.XMLName.Local == "Error" {
		return refusal(resp.StatusCode, failed.Code)
	}
	if out == nil {
		return nil
	}
	if err := xml.Unmarshal(doc, out); err != nil {
		return fmt.Errorf("s3: an answer that cannot be read: %w", err)
	}
	return nil
}

// refusal is what an answer of S3 means.
func refusal(status int, code string) error {
	switch {
	case code == "NoSuchUpload" || code == "NoSuchKey" || code == "" && status == http.StatusNotFound:
		return problem.New(problem.NotFound, "The bucket has no such upload or object.")
	case status == http.StatusServiceUnavailable || code == "SlowDown" || code == "InternalError" || status == http.StatusInternalServerError:
		return problem.New(problem.Unavailable, "The bucket is busy; try again.")
	default:
		return fmt.Errorf("s3 answered %d %.100s", status, code)
	}
}
