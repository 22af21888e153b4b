// Command listener is the smallest CI there is: it receives the signed webhook
// that tells of a resume, and runs a command as the job that goes on with the
// build. The command finds BUILD_ID, RESUME_MODE, RESUME_FROM_STATE and ATTEMPT
// in its environment, and RESUME_TARGETS, separated by commas, when some targets
// of that state are done. What it writes is served as /jobs/ID; the last line says
// how it ended.
//
//	LISTENER_SECRET=... listener 127.0.0.1:8090 FOLDER ./build.sh /var/images
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// An order is what is read of the body of the webhook.
type order struct {
	ID      string   `json:"request_id"`
	BuildID string   `json:"build_id"`
	From    int      `json:"resume_from_state"`
	Targets []string `json:"resume_targets"`
	Attempt int      `json:"attempt"`
}

// A listener starts one job for each resume request. The output of a job is a
// file with the id of the request, which is also how it is known that a webhook
// came before.
type listener struct {
	secret, address string
	command         []string
	jobs            *os.Root
	running         sync.WaitGroup
}

// signed reports whether the header t=UNIX,v1=HEX is a signature of the body
// that is not older than five minutes.
func (l *listener) signed(header string, body []byte) bool {
	at, sum, _ := strings.Cut(strings.TrimPrefix(header, "t="), ",v1=")
	unix, err := strconv.ParseInt(at, 10, 64)
	if err != nil || time.Since(time.Unix(unix, 0)).Abs() > 5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, []byte(l.secret))
	fmt.Fprintf(mac, "%s.%s", at, body)
	got, err := hex.DecodeString(sum)
	return err == nil && hmac.Equal(got, mac.Sum(nil))
}

func (l *listener) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<16))
	if err != nil || !l.signed(r.Header.Get("Bldst-Signature"), body) {
		http.Error(w, "the signature is missing, wrong or old", http.StatusUnauthorized)
		return
	}
	var o order
	if err := json.Unmarshal(body, &o); err != nil || o.ID == "" || o.BuildID == "" {
		http.Error(w, "this is not a resume", http.StatusBadRequest)
		return
	}
	if err := l.start(o); err != nil && !errors.Is(err, fs.ErrExist) {
		log.Print(err)
		http.Error(w, "the job could not be started", http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	_ = json.NewEncoder(w).Encode(map[string]string{"job_id": o.ID, "job_url": "http://" + l.address + "/jobs/" + o.ID})
}

func (l *listener) start(o order) error {
	out, err := l.jobs.OpenFile(o.ID, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	c := exec.Command(l.command[0], l.command[1:]...)
	c.Stdout, c.Stderr = out, out
	c.Env = append(os.Environ(), "BUILD_ID="+o.BuildID, "RESUME_MODE=true", fmt.Sprint("RESUME_FROM_STATE=", o.From), fmt.Sprint("ATTEMPT=", o.Attempt))
	if o.Targets != nil {
		c.Env = append(c.Env, "RESUME_TARGETS="+strings.Join(o.Targets, ","))
	}
	l.running.Go(func() {
		how := "success"
		if err := c.Run(); err != nil {
			how = err.Error()
		}
		fmt.Fprintf(out, "job: %s\n", how)
		_ = out.Close()
	})
	return nil
}

func main() {
	l := &listener{secret: os.Getenv("LISTENER_SECRET")}
	if len(os.Args) < 4 || l.secret == "" {
		log.Fatal("usage: LISTENER_SECRET=... listener ADDRESS FOLDER COMMAND [ARGUMENT...]")
	}
	l.address, l.command = os.Args[1], os.Args[3:]
	var err error
	if l.jobs, err = os.OpenRoot(os.Args[2]); err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("POST /resume", l.receive)
	http.Handle("GET /jobs/", http.StripPrefix("/jobs/", http.FileServerFS(l.jobs.FS())))
	s := &http.Server{Addr: l.address, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(s.ListenAndServe())
}
