package settings

import (
	"errors"
	"time"

	"github.com/zalando/go-keyring"
)

// service is the name of this program in the keyring.
const service = "buildstate_cli"

// A Keyring keeps credentials. Get and Delete return ErrNotFound when there is
// no such entry; any other error means that the keyring cannot be used.
type Keyring interface {
	Get(entry string) (string, error)
	Set(entry, secret string) error
	Delete(entry string) error
}

// Errors of a keyring.
var (
	ErrNotFound = errors.New("not in the keyring")
	ErrTimeout  = errors.New("it does not answer")
)

// SystemKeyring returns the keyring of the operating system. Each call ends
// after two seconds: without a desktop session, some wait for ever.
func SystemKeyring() Keyring { return bounded{system{}, 2 * time.Second} }

type system struct{}

func (system) Get(entry string) (string, error) {
	v, err := keyring.Get(service, entry)
	return v, known(err)
}

func (system) Set(entry, secret string) error { return known(keyring.Set(service, entry, secret)) }

func (system) Delete(entry string) error { return known(keyring.Delete(service, entry)) }

func known(err error) error {
	if errors.Is(err, keyring.ErrNotFound) {
		return ErrNotFound
	}
	return err
}

// bounded gives up on a keyring that does not answer.
type bounded struct {
	Keyring
	limit time.Duration
}

func (b bounded) Get(entry string) (string, error) {
	return b.within(func() (string, error) { return b.Keyring.Get(entry) })
}

func (b bounded) Set(entry, secret string) error {
	_, err := b.within(func() (string, error) { return "", b.Keyring.Set(entry, secret) })
	return err
}

func (b bounded) Delete(entry string) error {
	_, err := b.within(func() (string, error) { return "", b.Keyring.Delete(entry) })
	return err
}

func (b bounded) within(do func() (string, error)) (string, error) {
	type result struct {
		value string
		err   error
	}
	done := make(chan result, 1) // buffered: nobody may be there to receive
	go func() {
		v, err := do()
		done <- result{v, err}
	}()
	t := time.NewTimer(b.limit)
	defer t.Stop()
	select {
	case r := <-done:
		return r.value, r.err
	case <-t.C:
		return "", ErrTimeout
	}
}
