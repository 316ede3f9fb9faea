package identity

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
)

// save writes key, then certificate: only a pair with a certificate counts as there, so a power cut between the two means that
// both are made anew.
func (p pair) save(dir, name string) error {
	der, err := x509.MarshalECPrivateKey(p.key)
	if err != nil {
		return err
	}
	if err := write(dir, name+".key", "EC PRIVATE KEY", der); err != nil {
		return err
	}
	return write(dir, name+".crt", "CERTIFICATE", p.cert.Raw)
}

func write(dir, name, kind string, der []byte) error {
	return replace(dir, name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// replace replaces a file as a whole: after a power cut there is the old one or the new one.
func replace(dir, name string, data []byte) error {
	tmp, err := os.CreateTemp(dir, ".new-*") // 0600 by its nature
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
