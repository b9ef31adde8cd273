"""Data sets as they were published, read and downloaded by torchvision, which is loaded only for that.

published   what they share: files found, checked, downloaded
cifar       CIFAR-10 and CIFAR-100
fashion     Fashion-MNIST
svhn        SVHN
stl10       STL-10
"""
