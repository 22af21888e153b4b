//go:build cdk

package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// bootstrapBucket is the bucket of CDK's bootstrap, under its usual qualifier.
const bootstrapBucket = "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"

// atOnce is how many files are uploaded at the same time.
const atOnce = 4

// upload puts the files of a where the template expects them. Their names are
// hashes of what they hold, so one that is there is the same.
func (t *target) upload(ctx context.Context, a *assembly) error {
	for bucket := range t.buckets(a) {
		if err := t.bucket(ctx, bucket); err != nil {
			return err
		}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	slots := make(chan struct{}, atOnce)
	for _, f := range a.Files {
		wg.Add(1)
		go func() {
			defer wg.Done()
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := t.put(ctx, a, f); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (t *target) buckets(a *assembly) map[string]bool {
	out := map[string]bool{}
	for _, f := range a.Files {
		for _, d := range f.Destinations {
			out[t.fill(d.Bucket)] = true
		}
	}
	return out
}

// bucket makes sure that the bucket of CDK's bootstrap is there. An emulator
// gets it; an account has to be prepared by somebody who may.
func (t *target) bucket(ctx context.Context, name string) error {
	_, err := t.s3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &name})
	if err == nil {
		return nil
	}
	if !t.emulated {
		return fmt.Errorf("account %s has no CDK bootstrap in %s that we may use: npx aws-cdk@2.1108.0 bootstrap aws://%s/%s", t.account, t.region, t.account, t.region)
	}
	in := &s3.CreateBucketInput{Bucket: &name}
	if t.region != "us-east-1" {
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(t.region)}
	}
	if _, err := t.s3.CreateBucket(ctx, in); err != nil {
		return fmt.Errorf("create bucket %s: %w", name, err)
	}
	return nil
}

func (t *target) put(ctx context.Context, a *assembly, f asset) error {
	var body []byte
	for _, d := range f.Destinations {
		bucket, key := t.fill(d.Bucket), t.fill(d.Key)
		if _, err := t.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key}); err == nil && f.content == nil {
			continue
		}
		if body == nil {
			var err error
			if body, err = f.pack(a.dir); err != nil {
				return fmt.Errorf("pack %s: %w", f.Source.Path, err)
			}
		}
		if _, err := t.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)}); err != nil {
			return fmt.Errorf("upload %s: %w", f.Source.Path, err)
		}
	}
	return nil
}

// pack returns what is uploaded: the file, or the folder as an archive that is
// the same for the same files.
func (f asset) pack(dir string) ([]byte, error) {
	if f.content != nil {
		return f.content, nil
	}
	path := filepath.Join(dir, f.Source.Path)
	if f.Source.Packaging != "zip" {
		return os.ReadFile(path)
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	err := filepath.WalkDir(path, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		return addFile(z, path, name, e)
	})
	if err := errors.Join(err, z.Close()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func addFile(z *zip.Writer, root, name string, e fs.DirEntry) error {
	info, err := e.Info()
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(root, name)
	if err != nil {
		return err
	}
	h := &zip.FileHeader{Name: filepath.ToSlash(rel), Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
	h.SetMode(info.Mode().Perm())
	w, err := z.CreateHeader(h)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}
