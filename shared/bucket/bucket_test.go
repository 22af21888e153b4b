package bucket

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"bldst/shared/build"
	"bldst/shared/problem"
)

func TestASignedPartIsBoundToItsSizeAndChecksum(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	for region, host := range map[string]string{"eu-central-1": "files.s3.eu-central-1.amazonaws.com", "cn-north-1": "files.s3.cn-north-1.amazonaws.com.cn", "us-gov-west-1": "files.s3.us-gov-west-1.amazonaws.com"} {
		b := Open(Access{Region: region, KeyID: "AKID", Secret: "secret", SessionToken: "a/token+"}, "files")
		b.now = func() time.Time { return at }
		s, err := b.Put(t.Context(), "builds/b/u/name", "handle", build.Part{Number: 3, Size: 17, CRC32C: "yZRlqg=="})
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		if u.Scheme != "https" || u.Host != host || u.Path != "/builds/b/u/name" || q.Get("partNumber") != "3" || q.Get("uploadId") != "handle" {
			t.Errorf("URL %s", s.URL)
		}
		if got := q.Get("X-Amz-SignedHeaders"); got != "content-length;host;x-amz-checksum-crc32c" {
			t.Errorf("signed headers %q", got)
		}
		if q.Get("X-Amz-Expires") != "3600" || q.Get("X-Amz-Security-Token") != "a/token+" || !s.ExpiresAt.Equal(at.Add(time.Hour)) {
			t.Errorf("URL %s, expires %v", s.URL, s.ExpiresAt)
		}
		if len(s.Headers) != 1 || s.Headers["x-amz-checksum-crc32c"] != "yZRlqg==" {
			t.Errorf("headers %v", s.Headers)
		}
		if strings.Contains(s.URL, "secret") {
			t.Error("the URL holds the secret")
		}
	}
}

// The answers are those of the S3 API reference: ErrorResponses, and
// CompleteMultipartUpload, which may fail with the status 200.
func TestWhatAnswersOfS3Mean(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   string
		kind   problem.Kind // "" is none, internal any other error
	}{
		"done":                {200, "<CompleteMultipartUploadResult><Key>k</Key></CompleteMultipartUploadResult>", ""},
		"failed all the same": {200, "<Error><Code>InternalError</Code></Error>", problem.Unavailable},
		"slow down":           {503, "<Error><Code>SlowDown</Code></Error>", problem.Unavailable},
		"no such upload":      {404, "<Error><Code>NoSuchUpload</Code></Error>", problem.NotFound},
		"denied":              {403, "<Error><Code>AccessDenied</Code></Error>", problem.Internal},
		"no bucket":           {404, "<Error><Code>NoSuchBucket</Code></Error>", problem.Internal},
		"a proxy":             {502, "<html>bad gateway</html>", problem.Internal},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKID/") {
				t.Errorf("%s: unsigned", name)
			}
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}))
		b := Open(Access{Region: "us-east-1", Endpoint: srv.URL, KeyID: "AKID", Secret: "secret"}, "files")
		err := b.Finish(t.Context(), "k", "handle", []build.Part{{Number: 1}})
		srv.Close()
		if c.kind == "" && err != nil || c.kind != "" && (err == nil || problem.From(err).Kind != c.kind) {
			t.Errorf("%s: %v, want %q", name, err, c.kind)
		}
	}
}
