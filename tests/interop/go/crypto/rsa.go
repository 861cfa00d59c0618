package main

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strconv"
)

func der(text []byte) ([]byte, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("no PEM")
	}
	return block.Bytes, nil
}

func publicKey[K any](text []byte) (key K, err error) {
	bytes, err := der(text)
	if err != nil {
		return key, err
	}
	parsed, err := x509.ParsePKIXPublicKey(bytes)
	if err != nil {
		return key, err
	}
	key, ok := parsed.(K)
	if !ok {
		return key, fmt.Errorf("another kind of key: %T", parsed)
	}
	return key, nil
}

func privateKey[K any](text []byte) (key K, err error) {
	bytes, err := der(text)
	if err != nil {
		return key, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(bytes)
	if err != nil {
		return key, err
	}
	key, ok := parsed.(K)
	if !ok {
		return key, fmt.Errorf("another kind of key: %T", parsed)
	}
	return key, nil
}

func hash(name []byte) (crypto.Hash, error) {
	h, ok := map[string]crypto.Hash{
		"sha1": crypto.SHA1, "sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512,
	}[string(name)]
	if !ok {
		return 0, fmt.Errorf("hash %q", name)
	}
	return h, nil
}

// inPieces does something with each piece of data, as due cuts it, and joins what comes out.
func inPieces(data []byte, size int, do func(piece []byte) ([]byte, error)) ([]byte, error) {
	var joined []byte
	for len(data) > 0 {
		size := min(size, len(data))
		piece, err := do(data[:size])
		if err != nil {
			return nil, err
		}
		joined, data = append(joined, piece...), data[size:]
	}
	return joined, nil
}

// oaepEncrypt: key, hash, label, block size, text.
func oaepEncrypt(a [][]byte) ([]byte, error) {
	key, err := publicKey[*rsa.PublicKey](a[0])
	if err != nil {
		return nil, err
	}
	h, err := hash(a[1])
	if err != nil {
		return nil, err
	}
	size, err := strconv.Atoi(string(a[3]))
	if err != nil {
		return nil, err
	}
	if size == 0 {
		size = key.Size() - 2*h.Size() - 2
	}
	return inPieces(a[4], size, func(piece []byte) ([]byte, error) {
		return rsa.EncryptOAEP(h.New(), rand.Reader, key, piece, a[2])
	})
}

// oaepDecrypt: key, hash, label, blocks.
func oaepDecrypt(a [][]byte) ([]byte, error) {
	key, err := privateKey[*rsa.PrivateKey](a[0])
	if err != nil {
		return nil, err
	}
	h, err := hash(a[1])
	if err != nil {
		return nil, err
	}
	return inPieces(a[3], key.Size(), func(piece []byte) ([]byte, error) {
		return rsa.DecryptOAEP(h.New(), nil, key, piece, a[2])
	})
}

// v15Encrypt: key, text.
func v15Encrypt(a [][]byte) ([]byte, error) {
	key, err := publicKey[*rsa.PublicKey](a[0])
	if err != nil {
		return nil, err
	}
	return inPieces(a[1], key.Size()-11, func(piece []byte) ([]byte, error) {
		return rsa.EncryptPKCS1v15(rand.Reader, key, piece)
	})
}

// v15Decrypt: key, blocks.
func v15Decrypt(a [][]byte) ([]byte, error) {
	key, err := privateKey[*rsa.PrivateKey](a[0])
	if err != nil {
		return nil, err
	}
	return inPieces(a[1], key.Size(), func(piece []byte) ([]byte, error) {
		return rsa.DecryptPKCS1v15(nil, key, piece)
	})
}

func digest(h crypto.Hash, message []byte) []byte {
	state := h.New()
	state.Write(message)
	return state.Sum(nil)
}

var saltAsHash = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}

// pssSign: key, hash, message.
func pssSign(a [][]byte) ([]byte, error) {
	key, err := privateKey[*rsa.PrivateKey](a[0])
	if err != nil {
		return nil, err
	}
	h, err := hash(a[1])
	if err != nil {
		return nil, err
	}
	return rsa.SignPSS(rand.Reader, key, h, digest(h, a[2]), saltAsHash)
}

// pssVerify: key, hash, message, signature.
func pssVerify(a [][]byte) ([]byte, error) {
	key, err := publicKey[*rsa.PublicKey](a[0])
	if err != nil {
		return nil, err
	}
	h, err := hash(a[1])
	if err != nil {
		return nil, err
	}
	return nil, rsa.VerifyPSS(key, h, digest(h, a[2]), a[3], saltAsHash)
}

// v15Sign: key, message.
func v15Sign(a [][]byte) ([]byte, error) {
	key, err := privateKey[*rsa.PrivateKey](a[0])
	if err != nil {
		return nil, err
	}
	return rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest(crypto.SHA256, a[1]))
}

// v15Verify: key, message, signature.
func v15Verify(a [][]byte) ([]byte, error) {
	key, err := publicKey[*rsa.PublicKey](a[0])
	if err != nil {
		return nil, err
	}
	return nil, rsa.VerifyPKCS1v15(key, crypto.SHA256, digest(crypto.SHA256, a[1]), a[2])
}

// head is how every message of due-crypto begins.
func head(suite byte, public any) ([]byte, error) {
	pkix, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(pkix)
	return append([]byte{1, suite}, id[:8]...), nil
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// hybridSeal: key, bound bytes, text. A message of suite 1, put together from its description.
func hybridSeal(a [][]byte) ([]byte, error) {
	public, err := publicKey[*rsa.PublicKey](a[0])
	if err != nil {
		return nil, err
	}
	message, err := head(1, public)
	if err != nil {
		return nil, err
	}
	key, nonce := make([]byte, 32), make([]byte, 12)
	_, _ = rand.Read(key)
	_, _ = rand.Read(nonce)
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public, key, nil)
	if err != nil {
		return nil, err
	}
	aead, err := gcm(key)
	if err != nil {
		return nil, err
	}
	message = append(message, wrapped...)
	bound := append(bytes.Clone(message), a[1]...)
	return aead.Seal(append(message, nonce...), nonce, a[2], bound), nil
}

// hybridOpen: key, bound bytes, message.
func hybridOpen(a [][]byte) ([]byte, error) {
	private, err := privateKey[*rsa.PrivateKey](a[0])
	if err != nil {
		return nil, err
	}
	want, err := head(1, &private.PublicKey)
	if err != nil {
		return nil, err
	}
	message, end := a[2], len(want)+private.Size()
	if len(message) < end+12 || !bytes.HasPrefix(message, want) {
		return nil, fmt.Errorf("the head is not %x", want)
	}
	key, err := rsa.DecryptOAEP(sha256.New(), nil, private, message[len(want):end], nil)
	if err != nil {
		return nil, err
	}
	aead, err := gcm(key)
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, message[end:end+12], message[end+12:], append(bytes.Clone(message[:end]), a[1]...))
}
